// class: conversion
// expect: 504
Spark.getHttp("http://x/", { valueOf() { for (;;) {} } });
