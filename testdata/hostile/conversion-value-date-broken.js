// class: conversion
// expect: any
var d = new Date(NaN); d.toISOString = function () { for (;;) {} }; Spark.setScriptData("a", d);
