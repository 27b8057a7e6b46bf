// class: conversion
// expect: 200
Spark.getLog().info({ get a() { throw new Error("x") } });
