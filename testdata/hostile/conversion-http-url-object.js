// class: conversion
// expect: 500
Spark.getHttp({ toString() { for (;;) {} } });
