"""Networks that several families of translators are made of."""
