"""Axes: directions of a latent space along which a labelled quantity grows, found as TL-GAN finds them.

How a set of axes comes about (`fitting`):
1. `sampling` draws latents by seed, generates with the exported model and labels with exported classifiers;
2. `regression` fits a linear model of each label and measures it on held-out latents;
3. `response` moves fresh latents along each axis, generates, labels again and records what happened;
4. `axis_set` writes the directions with everything measured beside the model's version;
5. `report` and `sweep` say and show it to people.
`importing` makes sets of axes that others found: `tlgan`'s and `interfacegan`'s.
"""
