// class: conversion
// expect: any
var o = {}; o.toJSON = Spark.setScriptData.bind(Spark, "a", o); Spark.setScriptData("a", o);
