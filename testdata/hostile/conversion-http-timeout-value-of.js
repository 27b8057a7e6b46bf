// class: conversion
// expect: 500|504
Spark.getHttp("http://x/", { valueOf() { for (;;) {} } });
