// class: conversion
// expect: 200
// tier: deep
var d = Spark.getDigester(); for (var i = 0; i < 10; i++) d.sha512Hex("é".repeat(1 << 16));
