// class: conversion
// expect: any
Spark.setScriptData("a", "\u0001".repeat(1 << 23));
