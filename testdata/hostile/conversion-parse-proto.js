// class: conversion
// expect: 200
var o = JSON.parse('{"__proto__": {"a": 1}}'); Spark.setScriptData("a", o.a === undefined && {}.a === undefined);
