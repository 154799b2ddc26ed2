"""The spec language: YAML documents -> a merged, checked, interpolated spec. Imports no torch, but for `schema`."""
