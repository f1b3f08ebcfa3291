"""The build checks. `document.py` looks at the file, `instruction.py` at one instruction in its stage."""
