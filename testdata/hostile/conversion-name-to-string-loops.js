// class: conversion
// expect: 500|504
Spark.setScriptData({ toString() { for (;;) {} } }, 1);
