"""Shared by the tests here."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

TIMED = """\
old,new,positive1,gt1,positive2,gt2,positive3,gt3,positive4,gt4,positive5,gt5,\
negative1,gn1,negative2,gn2,negative3,gn3,negative4,gn4,negative5,gn5
A kite,A round kite,Two kites,Two round kites,"A kite, pixel art","A round kite, pixel art",\
A child with a kite ,A child with a round kite,A red kite,A red round kite,Kites,Round kites,\
A sail,A round sail,A flag,A round flag,A kite,A round kite,A tent,A round tent,A boat,A round boat
A kite,A torn kite,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t
"""

ROAD_TEST = """\
Type,Prompt,Oracle,Old,New,Positive1,Positive_oracle1,Positive_old1,Positive_new1,\
Positive2,Positive_oracle2,Positive_old2,Positive_new2,\
Positive3,Positive_oracle3,Positive_old3,Positive_new3,\
Positive4,Positive_oracle4,Positive_old4,Positive_new4,\
Positive5,Positive_oracle5,Positive_old5,Positive_new5,\
Negative1,Negative_new1,Negative2,Negative_new2,Negative3,Negative_new3,\
Negative4,Negative_new4,Negative5,Negative_new5
Role,The baker of Rome,Zoë as the baker of Rome,Ann,Zoë,\
Rome's baker ,Zoë as Rome's baker,Ann,Zoë,p2,o2,w2,n2,p3,o3,w3,n3,p4,o4,w4,n4,p5,o5,w5,n5,\
"Ann ""the oven"" Lee",Zoë,A cook,Zoë,q3,Zoë,q4,Zoë,q5,Zoë
Appearance,A tent,A hut,A tent,A hut,\
p1,o1,w1,n1,p2,o2,w2,n2,p3,o3,w3,n3,p4,o4,w4,n4,p5,o5,w5,n5,A sail,A hut,b,c,d,e,f,g,h,i"""

ROAD_VALIDATION = """\
Type,Prompt,Oracle,Old,New,Positive1,Positive_old1,Positive_new1,\
Positive2,Positive_old2,Positive_new2,Positive3,Positive_old3,Positive_new3,\
Positive4,Positive_old4,Positive_new4,Positive5,Positive_old5,Positive_new5,\
Negative1,Negative_new1,Negative2,Negative_new2,Negative3,Negative_new3,\
Negative4,Negative_new4,Negative5,Negative_new5
Role,The baker of Rome,Zoë as the baker of Rome,Ann,Zoë,\
Rome's baker,Ann,Zoë,p2,w2,n2,p3,w3,n3,p4,w4,n4,p5,w5,n5,Ann,Zoë,a,b,c,d,e,f,g,h"""

GENDER = """\
old,new,validation,ex1,ex2,ex3,ex4,ex5
an umpire,a female umpire,A photo of an umpire,A painting of an umpire,an umpire working,\
an umpire laughing,an umpire in the workplace,an umpire digital art
a deep sea diver,a male deep sea diver,A photo of a deep sea diver,\
A painting of a deep sea diver,a deep sea diver working,a deep sea diver laughing,\
a deep sea diver in the workplace,a deep sea diver digital art
"""

COCO = """\
case_number,source,prompt,evaluation_seed,coco_id
0,coco-30k,A kite above a field. ,41337,203564
1,coco-30k,"two kites
",63155,179765
2,coco-30k,"A sign that reads ""kites, here"".",78978,322141
3,coco-30k,A kite above a field.,5,7
"""

ICEB = [
    {
        "source": "kite",
        "dest": "box kite",
        "prompts": ["An image of {}", "{} in a field"],
        "seeds": [2024, 7],
        "source id": 12,
        "seed_train": 3,
    },
    {"source": "tent", "dest": "hut", "prompts": ["{}"], "seeds": [0]},
]

PAIRS = "attribute,original,target\nstyle,a kite by Zorvan,a painting\nfact,the baker of Rome,Zoë\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "data"
        path.write_bytes(text.encode())
        return path

    return write


def edited(table: str, row: int, column: str, value: str | None) -> str:
    """``table`` with another cell; None takes the column away."""
    rows = list(csv.reader(io.StringIO(table, newline="")))
    place = rows[0].index(column)
    if value is None:
        rows = [line[:place] + line[place + 1 :] for line in rows]
    else:
        rows[row][place] = value
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
