"""The only code that knows how diffusers and transformers lay their modules out."""
