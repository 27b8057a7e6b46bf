// class: conversion
// expect: 500
require("../callbacks/honest");
