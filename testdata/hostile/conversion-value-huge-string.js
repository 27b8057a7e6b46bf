// class: conversion
// expect: 500
Spark.setScriptData("a", "\u0001".repeat(1 << 23));
