"""Axes: directions of a latent space along which a labelled quantity grows, found as TL-GAN finds them.

How a set of axes comes about (`fitting`):
1. `sampling` takes points of a space by seed (`generator`, under `conditions`), and labels the images that the exported
   model makes of them with exported classifiers (`world`); what is labelled is kept (`ledger`);
2. `regression` fits a linear model of each label and measures it on held-out points;
3. `response` moves fresh points along each axis, generates, labels again and records what happened;
4. `axis_set` writes the directions with everything measured beside the model's version;
5. `report` and `sweep` say and show it to people.
`importing` makes sets of axes that others found: `tlgan`'s and `interfacegan`'s.
"""
