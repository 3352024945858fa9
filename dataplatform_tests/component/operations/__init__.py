"""Operations on temporary folders and in processes of their own."""
