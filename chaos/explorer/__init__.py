"""The search for the smallest plan that breaks a choreography.

Read in this order: :mod:`sites` (what a clean run shows), :mod:`faults_at` (what can be done there), :mod:`order`
(what to try first), :mod:`search` (the loop), :mod:`confirm`, :mod:`shrink`, :mod:`store`, :mod:`outcome`.
"""
