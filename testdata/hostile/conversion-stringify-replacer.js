// class: conversion
// expect: 504
JSON.stringify({ a: 1 }, function () { for (;;) {} });
