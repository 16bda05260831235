"""The shards of an output tree: their names, which of them to merge, and whether they are all there.

    SOURCE/checkpoint/rank_N/{prefix}_rank_N[_{bump}]-{epoch}_{step}.ckpt       names.py
    SOURCE/checkpoint_network/, SOURCE/checkpoint_trainable/                    likewise, of a part of the training
    SOURCE/strategy/ckpt_strategy_rank_N.ckpt                                   strategy_files.py

`choice` decides by names alone what a merge takes, `readiness` what is still missing, and `tree_tracker` knows that of
a whole tree while its files arrive one by one.
"""
