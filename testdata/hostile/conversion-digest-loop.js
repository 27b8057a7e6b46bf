// class: conversion
// expect: 504
for (;;) Spark.getDigester().sha512Hex("x");
