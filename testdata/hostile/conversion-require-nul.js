// class: conversion
// expect: 500
require("A\u0000B");
