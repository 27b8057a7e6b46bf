// class: conversion
// expect: 200
JSON.parse("[1]", function (k, v) { if (this.push) this.push(1); return v });
