// class: conversion
// expect: 500
Spark.setScriptData(Symbol("x"), 1);
