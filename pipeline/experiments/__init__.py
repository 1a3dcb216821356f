"""Experiments that answer what real photos are worth: training runs, judged alike on photos that none has seen."""
