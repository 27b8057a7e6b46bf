// class: conversion
// expect: 500
Spark.setScriptData({ toString() { for (;;) {} } }, 1);
