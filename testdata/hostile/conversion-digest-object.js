// class: conversion
// expect: 500
Spark.getDigester().sha1Hex({ toString() { for (;;) {} } });
