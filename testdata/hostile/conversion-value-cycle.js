// class: conversion
// expect: 500
var o = {}; o.o = o; Spark.setScriptData("a", o);
