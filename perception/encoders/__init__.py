"""One encoder per modality, each from raw rows or pixels to features on the BEV grid."""
