// class: conversion
// expect: any
Spark.getDigester().md2Hex("x".repeat(1 << 24));
