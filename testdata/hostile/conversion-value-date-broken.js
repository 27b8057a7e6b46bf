// class: conversion
// expect: 200
var d = new Date(NaN); d.toISOString = function () { for (;;) {} }; Spark.setScriptData("a", d);
