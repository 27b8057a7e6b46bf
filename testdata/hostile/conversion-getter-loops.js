// class: conversion
// expect: 504
Spark.setScriptData("a", { get x() { for (;;) {} } });
