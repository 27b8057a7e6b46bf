// class: conversion
// expect: 504
JSON.parse("[1]", function () { for (;;) {} });
