// class: conversion
// expect: 504
Spark.getDigester().md2Hex("x".repeat(1 << 24));
