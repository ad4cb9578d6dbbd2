"""Make jets with Pythia 8 and FastJet: ``python -m torchq.data.generate_jets OUT.npz``.

The jets that ship with the package were made with these settings. What is simulated: proton-proton collisions
at 13 TeV with two hard particles of 1 TeV transverse momentum, on-shell W, Z and top decaying isotropically
to quarks, parton showers and hadrons by Pythia 8 (Monash tune), a small parametric detector, anti-kT jets,
the modified mass drop tagger (arXiv:1307.0007), and the 16 features of arXiv:1609.07483 and arXiv:1804.06913.

Pythia and FastJet are under the GPL; nothing else of torchq imports them. ``pip install 'torchq[physics]'``.
"""
