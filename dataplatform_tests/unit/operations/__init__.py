"""Operations without a disk."""
