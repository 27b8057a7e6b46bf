// class: conversion
// expect: 504
Spark.setScriptData("a", new Proxy({}, { ownKeys() { for (;;) {} } }));
