// class: conversion
// expect: 504
var s = new String("x"); s.toString = function () { for (;;) {} }; Spark.setScriptData("a", s);
