@echo off
chcp 65001 >nul
cd /d "%~dp0..\.."
py -3 --version >nul 2>nul && (set "KILN_PYTHON=py -3") || (set "KILN_PYTHON=python")
%KILN_PYTHON% packaging\launch.py %*
if not "%errorlevel%"=="0" pause
