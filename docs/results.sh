#!/bin/sh
# The experiments of docs/results.md: sh docs/results.sh scenes | f8k | ablation 
# Each line is a sweep that goes on where it stopped, and ends with a leaderboard. BERT=FOLDER names the small BERT of f8k.
set -eu
train() { "${PYTHON:-python}" train.py -m "$@"; }
on_f8k() { train data=f8k "backbone.bert.source=${BERT:?name a BERT folder}" "$@"; }
seeds="seed=1,2,3,4,5"

case "${1:-}" in
scenes) # equal steps for all: 4 epochs of 312 steps of 32 pairs
    train backbone=camera,vsrn training.epochs=4 "$seeds"
    train backbone=camera,vsrn training.epochs=4 loss.words.weight=0 "$seeds"
    train backbone=camera,vsrn training.epochs=4 loss=selfalign recipe=published "$seeds"
    train backbone=linear training.epochs=4 "$seeds"
    ;;
f8k) # 468 steps of 128 pairs
    train data=f8k backbone=linear loss=infonce,guided "$seeds"
    on_f8k backbone=linear_bert loss=infonce,guided backbone.bert.cache=bert-words "$seeds"
    on_f8k backbone=camera recipe=tuned loss=guided backbone.bert.cache=bert-words "$seeds"
    train data=f8k backbone=vsrn recipe=tuned loss=guided "$seeds"
    on_f8k experiment=f8k_small_camera loss=selfalign,baseline "$seeds"
    train experiment=f8k_small_vsrn loss=selfalign,baseline "$seeds"
    ;;
ablation) # each part of ours changed alone, and SelfAlign's two losses on top of it
    ours="backbone=camera recipe=tuned loss=guided backbone.bert.cache=bert-words"
    on_f8k $ours "$seeds"
    on_f8k $ours loss/ranking=infonce seed=1,2,3
    on_f8k $ours loss/ranking=hinge seed=1,2,3
    on_f8k $ours backbone.image_pooling=published,mean seed=1,2,3
    on_f8k $ours backbone.text_pooling=published seed=1,2,3
    on_f8k $ours backbone.norm_axis=regions,features seed=1,2,3
    on_f8k $ours backbone.zero_start=false seed=1,2,3
    on_f8k $ours augmentation.regions=0.2 seed=1,2,3
    on_f8k $ours loss.words.weight=1 seed=1,2,3
    on_f8k $ours loss.concept.weight=1 loss.context.weight=1 "$seeds"
    ours="data=f8k backbone=vsrn recipe=tuned loss=guided seed=1,2,3"
    train $ours
    train $ours loss/ranking=infonce
    train $ours backbone.image_pooling=published,mean
    train $ours backbone.text_pooling=mean
    train $ours optimizer.word_rate=1
    train $ours backbone.shortcut=false
    train $ours backbone.final_norm=false
    train $ours backbone.norm_axis=regions
    train $ours augmentation.regions=0.2
    train $ours loss.captioning.weight=1
    train $ours loss.concept.weight=1 loss.context.weight=1
    ;;
*)
    echo "usage: sh docs/results.sh scenes | f8k | ablation" >&2
    exit 2
    ;;
esac
