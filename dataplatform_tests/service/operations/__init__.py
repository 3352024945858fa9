"""Operations against real services."""
