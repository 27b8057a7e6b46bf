// class: conversion
// expect: 500
var o = {}; o.toJSON = Spark.setScriptData.bind(Spark, "a", o); Spark.setScriptData("a", o);
