"""What differs between the versions of MindFormers and MindSpore: nothing else of glmd says it."""
