// class: conversion
// expect: 504
Spark.setScriptData("a", { toJSON() { for (;;) {} } });
