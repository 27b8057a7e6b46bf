// class: conversion
// expect: 200
Spark.getLog().info(Spark); Spark.getLog().info(Spark.getLog()); Spark.getLog().info(this);
