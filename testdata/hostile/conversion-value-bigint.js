// class: conversion
// expect: 500
Spark.setScriptData("a", 1n);
