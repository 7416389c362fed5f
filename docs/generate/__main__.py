"""`python -m docs.generate`: write all generated pages and drawings that need no model."""

from docs.generate import code_map, flow, reference, tutorial

for generator in (code_map, tutorial, flow, reference):
    generator.main()
