// class: conversion
// expect: 504
Spark.getLog().info({ toJSON() { for (;;) {} } });
