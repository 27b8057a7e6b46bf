// class: conversion
// expect: 200
Spark.setScriptData("a", JSON.stringify([[1]], null, { valueOf() { return 1e9 } }).length);
