// class: conversion
// expect: 504
Spark.getHttp("http://127.0.0.1:1/").setHeaders({ get a() { for (;;) {} } });
